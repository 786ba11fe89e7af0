package mmectl.metrics;

import com.amazonaws.ml.mms.wlm.Model;
import com.amazonaws.ml.mms.wlm.ModelManager;
import com.amazonaws.ml.mms.wlm.WorkerState;
import com.amazonaws.ml.mms.wlm.WorkerThread;
import java.lang.reflect.Field;
import java.util.Collection;
import java.util.Map;

/** What the server itself knows at this moment. */
final class Server {
    private static final Field QUEUES = queues();

    int loaded;
    int loading;
    long queued;

    static Server now() {
        Server found = new Server();
        ModelManager manager = ModelManager.getInstance();
        for (Map.Entry<String, Model> model : manager.getModels().entrySet()) {
            if (isLoaded(manager, model.getKey())) {
                found.loaded++;
            } else {
                found.loading++;
            }
            found.queued += queued(model.getValue());
        }
        return found;
    }

    private static boolean isLoaded(ModelManager manager, String name) {
        for (WorkerThread worker : manager.getWorkers(name)) {
            if (worker.getState() == WorkerState.WORKER_MODEL_LOADED) {
                return true;
            }
        }
        return false;
    }

    /** Requests that no worker has taken yet; the server shows them to nobody. */
    private static long queued(Model model) {
        try {
            Map<?, ?> queues = (Map<?, ?>) QUEUES.get(model);
            return ((Collection<?>) queues.get(Model.DEFAULT_DATA_QUEUE)).size();
        } catch (IllegalAccessException e) {
            throw new IllegalStateException(e);
        }
    }

    private static Field queues() {
        try {
            Field field = Model.class.getDeclaredField("jobsDb");
            field.setAccessible(true);
            return field;
        } catch (NoSuchFieldException e) {
            throw new IllegalStateException(e);
        }
    }
}
