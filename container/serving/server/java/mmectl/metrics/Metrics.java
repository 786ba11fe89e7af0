package mmectl.metrics;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import software.amazon.ai.mms.servingsdk.Context;
import software.amazon.ai.mms.servingsdk.ModelServerEndpoint;
import software.amazon.ai.mms.servingsdk.annotations.Endpoint;
import software.amazon.ai.mms.servingsdk.annotations.helpers.EndpointTypes;
import software.amazon.ai.mms.servingsdk.http.Request;
import software.amazon.ai.mms.servingsdk.http.Response;

/** {@code GET /metrics}. */
@Endpoint(
        urlPattern = "metrics",
        endpointType = EndpointTypes.INFERENCE,
        description = "Metrics of the server and its models, as Prometheus reads them")
public class Metrics extends ModelServerEndpoint {
    private static final int METHOD_NOT_ALLOWED = 405;

    @Override
    public void doGet(Request request, Response response, Context context) throws IOException {
        String text = Text.of(Counts.OF_SERVER, Server.now(), Processes.found());
        response.setContentType(Text.TYPE);
        response.getOutputStream().write(text.getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public void doPost(Request request, Response response, Context context) {
        response.setStatus(METHOD_NOT_ALLOWED);
    }

    @Override
    public void doPut(Request request, Response response, Context context) {
        response.setStatus(METHOD_NOT_ALLOWED);
    }

    @Override
    public void doDelete(Request request, Response response, Context context) {
        response.setStatus(METHOD_NOT_ALLOWED);
    }
}
