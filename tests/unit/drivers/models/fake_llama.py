"""A llama.cpp of letters: what `local.LocalModel` starts and speaks to, with slots that can be saved, and faults.

It is run by path in place of `local_server.py`. A token is a character's number; each next one follows from all before
it, so that whoever goes on from other tokens gets another text. It works within the folder that FAKE_LLAMA names:

    log             a line of JSON for each request, in the order of their ends
    bell            a pipe into which a byte goes with each line
    FAULT           a file of such a name is a fault, while it is there; where it is a pipe, until that is closed
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["FAKE_LLAMA"])
MAGIC = 0x67677371
PAYLOAD = b"computed" * 64
slots: list[list[int]] = []
locks: list[threading.Lock] = []
saves = ""
writing = threading.Lock()
bell = os.open(FOLDER / "bell", os.O_RDWR)


def is_on(fault: str) -> bool:
    return (FOLDER / fault).exists()


def hold(fault: str) -> None:
    try:
        with (FOLDER / fault).open("rb") as pipe:
            pipe.read()
    except FileNotFoundError:
        pass


def log(**said: Any) -> None:
    with writing, (FOLDER / "log").open("a") as file:
        file.write(json.dumps(said) + "\n")
    os.write(bell, b".")


def follow(tokens: list[int], seed: int) -> int:
    return 97 + (sum(place * token for place, token in enumerate(tokens)) + len(tokens) + seed) % 26


class Server(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def say(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.say({"path": self.path})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        place, _, action = self.path.partition("?action=")
        if place == "/detokenize":
            return self.say({"content": "".join(map(chr, asked["tokens"]))})
        if action:
            return self.keep(int(place.rpartition("/")[2]), action, asked["filename"])
        return self.generate(asked)

    def keep(self, number: int, action: str, name: str) -> None:
        log(begins=action)
        hold(f"{action}-hangs")
        if is_on(f"{action}-dies"):
            os._exit(9)
        path = f"{saves}/{name}"
        with locks[number]:
            try:
                count = (self.save if action == "save" else self.restore)(number, path)
            except (OSError, ValueError) as error:
                log(action=action, slot=number, name=name, error=str(error))
                return self.say({"error": {"code": 500, "message": f"Unable to {action} slot"}}, 500)
        log(action=action, slot=number, name=name)
        return self.say({"n_written": count})

    def save(self, number: int, path: str) -> int:
        words = [-1, 1, len(slots[number]), *slots[number], 0]
        data = struct.pack(f"<III{len(words)}i", MAGIC, 4, len(words), *words) + PAYLOAD
        Path(path).write_bytes(data[: len(data) // 2] if is_on("disk-full") else data)
        if is_on("disk-full"):
            raise OSError("no space")
        return len(data) + is_on("cut-unseen")

    def restore(self, number: int, path: str) -> int:
        data = Path(path).read_bytes()
        slots[number] = []
        if not data.endswith(PAYLOAD):
            raise ValueError("not a slot's file")
        (count,) = struct.unpack_from("<i", data, 20)
        slots[number] = list(struct.unpack_from(f"<{count}i", data, 24))
        return len(data)

    def generate(self, asked: dict[str, Any]) -> None:
        number, chat = asked["id_slot"], "messages" in asked
        prompt = asked.get("prompt") or self.render(asked["messages"])
        with locks[number]:
            slot = slots[number]
            cached = 0
            while asked["cache_prompt"] and cached < min(len(slot), len(prompt) - 1) and slot[cached] == prompt[cached]:
                cached += 1
            log(asked=asked, cached=cached, prompt=len(prompt))
            self.send_response(200)
            self.end_headers()
            hold("prompt-hangs")
            slots[number] = tokens = list(prompt)
            seed, left = asked.get("seed") or 0, asked["max_tokens" if chat else "n_predict"]
            for generated in range(1, left + 1):
                tokens = [*tokens, follow(tokens, seed if asked["temperature"] else 0)]
                slots[number] = tokens[:-1]
                timings = {"cache_n": cached, "prompt_n": len(prompt) - cached, "predicted_n": generated}
                self.send(chr(tokens[-1]), chat, timings)
                if is_on("dies-at") and generated == int((FOLDER / "dies-at").read_text()):
                    os._exit(9)
            if chat:
                self.event({"choices": [{"delta": {}, "finish_reason": "length"}]})
            else:
                self.event({"content": "", "stop": True, "stop_type": "limit", "timings": timings})

    def send(self, text: str, chat: bool, timings: dict[str, int]) -> None:
        self.event({"timings": timings} | ({"choices": [{"delta": {"content": text}}]} if chat else {"content": text}))

    def event(self, value: Any) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")

    def render(self, messages: list[dict[str, Any]]) -> list[int]:
        """As a template does: what an assistant has begun at the end is gone on with."""
        begun = messages[-1]["role"] == "assistant"
        said = [f"<{message['role']}>{message['content']}" for message in messages]
        return [ord(letter) for letter in "".join(said) + ("" if begun else "<assistant>")]


def main() -> None:
    global saves
    order = json.loads(sys.stdin.readline())
    saves = order.get("saves", "")
    for _ in range(order["slots"]):
        slots.append([])
        locks.append(threading.Lock())
    os.umask(0o077)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    log(started=os.getpid(), saves=saves)
    print(json.dumps({"port": server.server_port}), flush=True)
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    main()
