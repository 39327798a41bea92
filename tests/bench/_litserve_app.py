"""LitServe with the work of the part `litserve`: fetch a URL, then a model of 5 ms a batch.

Run by an interpreter that has litserve and requests: `python _litserve_app.py PORT`. Batches of 32, as
the worker's; its defaults else.
"""

import sys
import time

import litserve
import requests


class Checks(litserve.LitAPI):
    def setup(self, device):
        self.session = requests.Session()

    def decode_request(self, request):
        return self.session.get(request["url"], timeout=20).content

    def predict(self, batch):
        time.sleep(0.005)
        return ["real"] * len(batch)

    def encode_response(self, output):
        return {"label": output}


if __name__ == "__main__":
    api = Checks(max_batch_size=32, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
