package mmectl.metrics;

import java.util.Map;
import java.util.TreeMap;

/** Prometheus's text format, version 0.0.4. */
final class Text {
    static final String TYPE = "text/plain; version=0.0.4; charset=utf-8";

    private final StringBuilder out = new StringBuilder(1 << 14);

    static String of(Counts counts, Server server, Processes processes) {
        Text text = new Text();
        text.ofServer(counts, server);
        text.ofProcesses(processes);
        Map<String, Series.Seen> models = new TreeMap<>();
        Series.Seen others = counts.models.others().seen();
        counts.models.look().forEach((name, series) -> models.put(name, series.seen()));
        models.put(Names.OTHER, others);
        text.ofModels(models);
        return text.out.toString();
    }

    private void ofServer(Counts counts, Server server) {
        Series.Seen all = counts.all.seen();
        Series.Seen loads = counts.loads.seen();
        long failed = loads.clientErrors + loads.serverErrors;
        single("models_loaded", "gauge", "Models in memory.", server.loaded);
        single("models_loading", "gauge", "Models that are being loaded.", server.loading);
        single("loads_total", "counter", "Models loaded.", loads.count() - failed);
        single("load_failures_total", "counter", "Loads that failed, of memory or else.", failed);
        single("unloads_total", "counter", "Models unloaded on request: evictions.", counts.unloads.sum());
        head("no_memory_total", "counter", "Answers 507: no memory for the load, or the request.");
        line("no_memory_total", "operation=\"load\"", loads.noMemory);
        line("no_memory_total", "operation=\"invoke\"", all.noMemory);
        head("load_seconds", "histogram", "Time from the order to load to its answer.");
        histogram("load_seconds", "", loads);
        single("queue_length", "gauge", "Invocations that no worker has taken yet.", server.queued);
        single("in_progress", "gauge", "Invocations without an answer yet.", counts.inProgress());
        single("requests_total", "counter", "Invocations answered.", all.count());
        head("errors_total", "counter", "Invocations answered with an error.");
        line("errors_total", "status=\"4xx\"", all.clientErrors);
        line("errors_total", "status=\"5xx\"", all.serverErrors);
    }

    private void ofProcesses(Processes processes) {
        head("processes", "gauge", "Processes; a host serves many models, a worker one.");
        processes.kinds.forEach((kind, count) -> line("processes", label("kind", kind), count));
        String help = "Memory that the processes hold, without pages of files.";
        single("memory_bytes", "gauge", help, processes.bytes);
    }

    private void ofModels(Map<String, Series.Seen> models) {
        head("model_requests_total", "counter", "Invocations answered, by model.");
        models.forEach((n, seen) -> line("model_requests_total", label("model", n), seen.count()));
        head("model_errors_total", "counter", "Invocations answered with an error, by model.");
        models.forEach(
                (name, seen) -> {
                    String model = label("model", name);
                    line("model_errors_total", model + ",status=\"4xx\"", seen.clientErrors);
                    line("model_errors_total", model + ",status=\"5xx\"", seen.serverErrors);
                });
        head("model_request_seconds", "histogram", "Time to an invocation's answer, by model.");
        models.forEach((n, seen) -> histogram("model_request_seconds", label("model", n), seen));
    }

    private void single(String name, String type, String help, long value) {
        head(name, type, help);
        line(name, "", value);
    }

    private void head(String name, String type, String help) {
        out.append("# HELP mmectl_").append(name).append(' ').append(help).append('\n');
        out.append("# TYPE mmectl_").append(name).append(' ').append(type).append('\n');
    }

    private void line(String name, String labels, Object value) {
        out.append("mmectl_").append(name);
        if (!labels.isEmpty()) {
            out.append('{').append(labels).append('}');
        }
        out.append(' ').append(value).append('\n');
    }

    private void histogram(String name, String labels, Series.Seen seen) {
        String before = labels.isEmpty() ? "" : labels + ",";
        long sum = 0;
        for (int n = 0; n < seen.buckets.length; n++) {
            sum += seen.buckets[n];
            String bound = n < Series.BOUNDS.length ? plain(Series.BOUNDS[n]) : "+Inf";
            line(name + "_bucket", before + "le=\"" + bound + '"', sum);
        }
        line(name + "_sum", labels, seen.seconds);
        line(name + "_count", labels, sum);
    }

    private static String plain(double bound) {
        return bound == Math.rint(bound) ? Long.toString((long) bound) : Double.toString(bound);
    }

    static String label(String name, String value) {
        String escaped = value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
        return name + "=\"" + escaped + '"';
    }
}
