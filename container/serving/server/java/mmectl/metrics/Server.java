package mmectl.metrics;

import com.amazonaws.ml.mms.wlm.Mended;
import com.amazonaws.ml.mms.wlm.Model;
import com.amazonaws.ml.mms.wlm.ModelManager;
import com.amazonaws.ml.mms.wlm.WorkerState;
import com.amazonaws.ml.mms.wlm.WorkerThread;
import java.util.Map;

/** What the server itself knows at this moment. */
final class Server {
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
            found.queued += Mended.queued(model.getValue());
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
}
