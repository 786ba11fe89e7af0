package mmectl.metrics;

import java.util.concurrent.atomic.LongAdder;

/** What a server has answered since it started. */
final class Counts {
    /** Of the server of this JVM. */
    static final Counts OF_SERVER = new Counts(Integer.getInteger("mmectl.metrics.models", 100));

    final Names models;
    final Series all = new Series();
    final Series loads = new Series();
    final LongAdder unloads = new LongAdder();
    private final LongAdder begun = new LongAdder();
    private final LongAdder ended = new LongAdder();

    Counts(int models) {
        this.models = new Names(models);
    }

    void begun() {
        begun.increment();
    }

    void ended(Asked.Kind kind, String model, int status, long nanoseconds) {
        double seconds = nanoseconds / 1e9;
        if (kind == Asked.Kind.INVOKE) {
            ended.increment();
            all.count(status, seconds);
            // whoever asks for what is not there names it as he likes
            Series series = status == 404 ? models.others() : models.of(model);
            series.count(status, seconds);
        } else if (kind == Asked.Kind.LOAD) {
            loads.count(status, seconds);
        } else if (kind == Asked.Kind.UNLOAD && status == 200) {
            unloads.increment();
        }
    }

    /** Invocations that were read and have no answer yet. */
    long inProgress() {
        long over = ended.sum();
        return Math.max(begun.sum() - over, 0);
    }
}
