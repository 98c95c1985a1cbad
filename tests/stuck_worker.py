"""A conversion worker that swells or hangs when it is asked for decoder.float16.tflite and answers as it should else.

python stuck_worker.py swell|hang FOLDER
"""

import sys
import time
from pathlib import Path


def main():
    from pocketvae.export.messages import ConvertJob, Method
    from pocketvae.export.worker import Worker
    from pocketvae.processes.rpc import handler, serve

    action, folder = sys.argv[1], Path(sys.argv[2])
    worker = Worker(folder)

    def convert(job):
        if job.artifact.filename == "decoder.float16.tflite":
            folder.parent.parent.joinpath("reached").touch()
            held = []
            while action == "swell":
                held.append(bytearray(b"x" * 50_000_000))
            time.sleep(600)
        return worker.convert(job)

    serve({**worker.handlers(), Method.CONVERT: handler(ConvertJob, convert)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
