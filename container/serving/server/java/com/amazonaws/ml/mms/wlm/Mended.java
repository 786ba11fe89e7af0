package com.amazonaws.ml.mms.wlm;

import io.netty.channel.Channel;
import io.netty.handler.codec.http.HttpResponseStatus;
import java.lang.reflect.Field;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** What changed classes of Multi Model Server call in the place of its own (serving/server/patch.py). */
public final class Mended {
    private static final Field QUEUES = queues();

    private Mended() {}

    /**
     * Closes the connection of a worker that ended, where it ever had one; it is then reported and
     * started again. A launcher has none and is neither, by the exception: it leaves once its work
     * is done. One that ended before is reported, else a load would wait for it.
     */
    public static void disconnect(Channel channel, WorkerThread ended) {
        if (channel != null) {
            channel.disconnect();
        } else if (ended.isServerThread()) {
            if (ended.getState() != WorkerState.WORKER_MODEL_LOADED) {
                ended.setState(WorkerState.WORKER_STOPPED, HttpResponseStatus.INTERNAL_SERVER_ERROR);
            }
            throw new IllegalStateException("a launcher is not started again");
        }
    }

    /** Ends the workers of a model that was removed, and answers the requests that wait for them. */
    public static CompletableFuture<HttpResponseStatus> end(WorkLoadManager manager, Model model) {
        CompletableFuture<HttpResponseStatus> ended = manager.modelChanged(model);
        refuse(model);
        // whoever found the model just before its end may put a request there just after it
        ModelManager.getInstance().getScheduler().schedule(() -> refuse(model), 1, TimeUnit.SECONDS);
        return ended;
    }

    private static void refuse(Model model) {
        Queue<Job> waiting = waiting(model);
        for (Job job = waiting.poll(); job != null; job = waiting.poll()) {
            job.sendError(HttpResponseStatus.NOT_FOUND, "Model not found: " + model.getModelName());
        }
    }

    /** The models of this moment. */
    public static Map<String, Model> models(ModelManager manager) {
        return new HashMap<>(manager.getModels());
    }

    /** How many requests no worker has taken yet; the server shows them to nobody. */
    public static int queued(Model model) {
        return waiting(model).size();
    }

    @SuppressWarnings("unchecked")
    private static Queue<Job> waiting(Model model) {
        try {
            return ((Map<String, Queue<Job>>) QUEUES.get(model)).get(Model.DEFAULT_DATA_QUEUE);
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
