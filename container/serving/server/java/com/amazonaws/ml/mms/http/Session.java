package com.amazonaws.ml.mms.http;

import io.netty.handler.codec.http.HttpRequest;
import java.util.UUID;
import mmectl.metrics.Asked;

/**
 * A request from its arrival to its answer; takes the place of Multi Model Server's own class.
 *
 * <p>The server makes one for every request that it read, and tells it the status just before it
 * answers. Both are counted on the way.
 */
public class Session {
    private final String id = UUID.randomUUID().toString();
    private final String from;
    private final String line;
    private final Asked asked;
    private int code;

    public Session(String remoteIp, HttpRequest request) {
        boolean sound = request.decoderResult().isSuccess();
        String method = sound ? request.method().name() : "GET";
        String protocol = sound ? request.protocolVersion().text() : "HTTP/1.1";
        from = remoteIp;
        line = method + ' ' + request.uri() + ' ' + protocol;
        asked = Asked.of(method, request.uri(), request.headers().get(Asked.TARGET_MODEL));
    }

    public String getRequestId() {
        return id;
    }

    public void setCode(int status) {
        code = status;
        asked.answered(status);
    }

    @Override
    public String toString() {
        return from + " \"" + line + "\" " + code + ' ' + asked.nanoseconds() / 1_000_000;
    }
}
