// Uploads a file with the unmodified tus-js-client, breaks off once half of it has arrived, and resumes.
// Prints one JSON object: the upload's URL, the offset at the break, and the offset it went on from.
import { createReadStream } from 'node:fs'
import { FileUrlStorage, Upload } from 'tus-js-client'

const [endpoint, key, file, size, sha256, storage] = process.argv.slice(2)
const urlStorage = new FileUrlStorage(storage)

function run({ breakAfterHalf }) {
  return new Promise((resolve, reject) => {
    let resumedFrom = null
    const upload = new Upload(createReadStream(file), {
      endpoint,
      urlStorage,
      headers: { Authorization: `Bearer ${key}` },
      metadata: { filename: 'data.csv', sha256, filetype: 'text/csv' },
      uploadSize: Number(size),
      chunkSize: 1024 * 1024,
      retryDelays: null,
      fingerprint: () => Promise.resolve(`jiebang-${sha256}`),
      onBeforeRequest(request) {
        if (request.getMethod() === 'PATCH' && resumedFrom === null) {
          resumedFrom = Number(request.getHeader('Upload-Offset'))
        }
      },
      onChunkComplete(_chunk, accepted, total) {
        if (breakAfterHalf && accepted * 2 >= total) {
          upload.abort().then(() => resolve({ url: upload.url, brokenAt: accepted }), reject)
        }
      },
      onSuccess: () => resolve({ url: upload.url, resumedFrom }),
      onError: reject,
    })
    upload.findPreviousUploads().then((previous) => {
      if (previous.length > 0) upload.resumeFromPreviousUpload(previous[0])
      upload.start()
    }, reject)
  })
}

const first = await run({ breakAfterHalf: true })
const second = await run({ breakAfterHalf: false })
console.log(JSON.stringify({ url: second.url, sameUrl: first.url === second.url, brokenAt: first.brokenAt, resumedFrom: second.resumedFrom }))
