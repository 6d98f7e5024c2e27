// Uploads a file by the real tus-js-client, told by a JSON argument what to do, and tells by JSON lines what happened.
const fs = require("node:fs");
const tus = require("tus-js-client");

const order = JSON.parse(process.argv[2]);
const tell = (event, more) => console.log(JSON.stringify({ event, ...more }));
const headers = { Authorization: `Bearer ${order.token}` };

function uploadOf(path) {
  let previous = 0;
  const upload = new tus.Upload(fs.createReadStream(path), {
    endpoint: `${order.url}/uploads`,
    headers,
    metadata: { filename: path.split("/").pop(), filetype: "image/jpeg", ...order.metadata },
    retryDelays: order.retryDelays ?? [],
    ...(order.memory ? { urlStorage: new tus.FileUrlStorage(order.memory) } : {}),
    ...order.options,
    onProgress(sent) {
      if (sent > previous) tell("progress", { sent });
      previous = sent;
    },
    onChunkComplete(size, accepted) {
      tell("chunk", { size, accepted });
      if (order.abortAfter !== undefined && accepted >= order.abortAfter) {
        upload.abort(order.terminate ?? false).then(
          () => tell("aborted", { url: upload.url, accepted }),
          (error) => tell("error", { message: error.message }),
        );
      }
    },
    onShouldRetry(error) {
      const status = error.originalResponse ? error.originalResponse.getStatus() : 0;
      tell("retry", { status });
      return status < 400 || status >= 500 || status === 409 || status === 423;
    },
    onSuccess({ lastResponse }) {
      tell("success", { url: upload.url, photo: lastResponse.getHeader("Tailrace-Photo") });
    },
    onError(error) {
      const answer = error.originalResponse;
      tell("error", {
        message: error.message,
        status: answer ? answer.getStatus() : 0,
        body: answer ? answer.getBody() : "",
      });
    },
  });
  return upload;
}

for (const path of order.files) {
  const upload = uploadOf(path);
  upload.findPreviousUploads().then((found) => {
    if (found.length) {
      tell("resumed", { url: found[0].uploadUrl });
      upload.resumeFromPreviousUpload(found[0]);
    }
    upload.start();
  });
}
