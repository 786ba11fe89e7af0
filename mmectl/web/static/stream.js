"use strict";
/* The stream of live messages, one for all tabs of a browser: it opens six connections to a server
   at most, and each tab's own stream would take one away. Runs as a shared worker; where a browser
   has none, each tab makes a Stream of its own. */

const GONE = "the console does not answer: it has ended, perhaps (mmectl console starts it again)";
const AGAIN = 2000; // ms until a stream that broke is tried again

class Stream {
  /* `tell` is called with each message. */
  constructor(tell) {
    this.tell = tell;
    this.stop = null;
    this.clear();
  }

  clear() {
    this.now = { error: null, instances: {} }; // null: what was said of a stream that broke is no more
  }

  /* All that is known, as one message. */
  get all() {
    return { ...this.now, clear: true };
  }

  /* Take messages until `end`, with that Authorization header. */
  async begin(authorization) {
    if (this.stop && this.authorization === authorization) return;
    this.end();
    this.authorization = authorization;
    const stop = this.stop = new AbortController();
    const { signal } = stop;
    while (!signal.aborted) {
      try {
        const answer = await fetch("/live", { headers: { Authorization: authorization }, signal });
        if (answer.status === 204) return; // AWS: nothing is live
        if (answer.status === 401) {
          this.end();
          this.tell({ unknown: authorization });
          return;
        }
        if (!answer.ok) throw new Error(await answer.text());
        this.clear();
        this.tell(this.all);
        for await (const message of lines(answer.body)) {
          if (signal.aborted) return;
          this.keep(message);
          this.tell(message);
        }
        throw new Error("the console ended");
      } catch (error) {
        if (signal.aborted) return;
        const why = error instanceof TypeError ? GONE : error.message;
        this.now.error = `${why}; trying again`;
        this.tell({ error: this.now.error });
        await new Promise((go) => setTimeout(go, AGAIN));
      }
    }
  }

  end() {
    this.stop?.abort();
    this.stop = null;
    this.clear();
  }

  /* Put what changed into what is known, as `fleet.changes` tells it. */
  keep({ head, error, instances = {}, left = [] }) {
    if (head) this.now.head = head;
    if (error !== undefined) this.now.error = error;
    for (const name of left) delete this.now.instances[name];
    for (const [name, change] of Object.entries(instances)) {
      const known = this.now.instances[name] ??= { models: {} };
      if (change.head) known.head = change.head;
      Object.assign(known.models, change.models);
      for (const model of change.gone ?? []) delete known.models[model];
    }
  }
}

async function* lines(body) {
  let rest = "";
  const reader = body.pipeThrough(new TextDecoderStream()).getReader(); // Safari iterates over none
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

/* What a tab talks to: `join(authorization)` tells all and then what changes, `leave()` ends it. */
function stream(tell) {
  if (typeof SharedWorker === "undefined") {
    const own = new Stream(tell);
    return {
      join(authorization) { own.begin(authorization); tell(own.all); },
      leave() { own.end(); },
    };
  }
  const { port } = new SharedWorker("/static/stream.js", "mmectl-console");
  port.onmessage = ({ data }) => tell(data);
  return {
    join(authorization) { port.postMessage({ authorization }); },
    leave() { port.postMessage({ leave: true }); },
  };
}

if (typeof SharedWorkerGlobalScope !== "undefined") {
  const ports = new Set();
  const shared = new Stream((message) => { for (const port of ports) port.postMessage(message); });
  self.onconnect = ({ ports: [port] }) => {
    port.onmessage = ({ data }) => {
      if (data.leave) {
        ports.delete(port);
        if (!ports.size) shared.end();
        return;
      }
      ports.add(port);
      shared.begin(data.authorization);
      port.postMessage(shared.all);
    };
  };
}
