// Server-sent events out of a fetch: EventSource can neither POST nor send a key. Knows the format, not what is sent.

/**
 * The events of a response body as they come, comments included, because a comment tells that the line is alive.
 * An event is {name, data} with the data as text; a comment is {name: null}. Ends when the body does.
 */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  let name = "message";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (unread + value).split(/\r?\n/);
      unread = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield { name, data: data.join("\n") };
          name = "message";
          data = [];
        } else if (line.startsWith(":")) {
          yield { name: null };
        } else {
          const [, field, content] = /^([^:]*):? ?(.*)$/.exec(line);
          if (field === "event") name = content;
          if (field === "data") data.push(content);
        }
      }
    }
  } finally {
    // A reader that stops listening hangs up, and with that the gateway stops the model.
    await reader.cancel().catch(() => {});
  }
}
