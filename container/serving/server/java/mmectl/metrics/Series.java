package mmectl.metrics;

/** The answers to one kind of request, or of one model: how many, how slow, how they failed. */
final class Series {
    /** Upper bounds of the histogram's buckets, in seconds. */
    static final double[] BOUNDS = {
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60
    };

    private final long[] buckets = new long[BOUNDS.length + 1];
    private double seconds;
    private long clientErrors;
    private long serverErrors;
    private long noMemory;
    /** Requests of late, halved at each look: which models keep a name of their own. */
    private long lately;

    synchronized void count(int status, double took) {
        int bucket = 0;
        while (bucket < BOUNDS.length && took > BOUNDS[bucket]) {
            bucket++;
        }
        buckets[bucket]++;
        seconds += took;
        lately++;
        if (status >= 400 && status < 500) {
            clientErrors++;
        } else if (status >= 500) {
            serverErrors++;
        }
        if (status == 507) {
            noMemory++;
        }
    }

    synchronized long lately() {
        return lately;
    }

    synchronized void halve() {
        lately /= 2;
    }

    /** What there is at this moment. */
    synchronized Seen seen() {
        return new Seen(buckets.clone(), seconds, clientErrors, serverErrors, noMemory);
    }

    static final class Seen {
        final long[] buckets;
        final double seconds;
        final long clientErrors;
        final long serverErrors;
        final long noMemory;

        Seen(long[] buckets, double seconds, long client, long server, long noMemory) {
            this.buckets = buckets;
            this.seconds = seconds;
            this.clientErrors = client;
            this.serverErrors = server;
            this.noMemory = noMemory;
        }

        long count() {
            long sum = 0;
            for (long one : buckets) {
                sum += one;
            }
            return sum;
        }
    }
}
