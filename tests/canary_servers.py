"""Libraries with a server of their own, which answers with planted words: see `canary_rows`."""

from __future__ import annotations

import json
import tempfile
import threading
from concurrent import futures
from contextlib import contextmanager
from contextlib import suppress as ignoring
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.receiver import certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Canary = Callable[[str], str]


@contextmanager
def _served(add: Callable[[Any], None]) -> Iterator[str]:
    """A gRPC server's address."""
    import grpc

    server = grpc.server(futures.ThreadPoolExecutor(4))
    add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def xai(canary: Canary) -> None:
    import grpc
    from xai_sdk import chat as said

    from tests.adapters import test_xai_sdk as its

    class Chats(its.chat_pb2_grpc.ChatServicer):
        def GetCompletion(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's
            if request.model == "refused":
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, canary("error"))
            outputs = [its._output(canary("text"), canary("reasoning"))]
            return its.chat_pb2.GetChatCompletionResponse(outputs=outputs, **its.HEAD)

        def GetCompletionChunk(self, _request: Any, _context: Any) -> Iterator[Any]:  # noqa: N802
            for piece in (its._piece(thought=canary("thought")), its._piece(canary("chunk"))):
                yield its.chat_pb2.GetChatCompletionChunk(outputs=[piece], **its.HEAD)

    def ask(given: Any, model: str) -> Any:
        made = given.chat.create(model=model, user=canary("user"))
        made.append(said.system(canary("system")))
        made.append(said.user(canary("asked"), said.image(f"https://x.ai/?key={canary('query')}")))
        return made

    with (
        _served(lambda server: its.chat_pb2_grpc.add_ChatServicer_to_server(Chats(), server)) as at,
        its.client(at) as given,
    ):
        ask(given, its.MODEL).sample()
        list(ask(given, its.MODEL).stream())
        ask(given, its.MODEL).sample_batch(1)
        with ignoring(Exception):
            ask(given, "refused").sample()


def vertexai(canary: Canary) -> None:
    import grpc

    from tests.adapters import test_vertexai as its

    def generate(request: Any, context: Any) -> Any:
        if "fail" in str(request):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, canary("error"))
        return its.reply({"text": canary("text")})

    def stream(_request: Any, _context: Any) -> Iterator[Any]:
        yield its.reply({"text": canary("chunk")})

    shapes = {
        "request_deserializer": its.wire.GenerateContentRequest.deserialize,
        "response_serializer": its.wire.GenerateContentResponse.serialize,
    }
    handlers = {
        "GenerateContent": grpc.unary_unary_rpc_method_handler(generate, **shapes),
        "StreamGenerateContent": grpc.unary_stream_rpc_method_handler(stream, **shapes),
    }
    handler = grpc.method_handlers_generic_handler(its.SERVICE, handlers)
    its.vertexai.init(project="p", location="us-central1", credentials=its.AnonymousCredentials())
    with _served(lambda server: server.add_generic_rpc_handlers((handler,))) as at:
        model = its.model(at)
        model.generate_content(canary("asked"))
        list(model.generate_content(canary("asked"), stream=True))
        model.start_chat().send_message(canary("asked"))
        with ignoring(Exception):
            model.generate_content(f"fail {canary('asked')}")


def watsonx(canary: Canary) -> None:
    from tests.adapters import test_watsonx as its

    def chat(body: dict[str, Any]) -> Any:
        return json.loads(json.dumps(its.chat(body)).replace("Hello.", canary("text")))

    def chat_stream(body: dict[str, Any]) -> Any:
        told = json.dumps(list(its.chat_stream(body))).replace("Hel", canary("chunk"))
        return iter(json.loads(told))

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        patch.setitem(its.ROUTES, "chat", chat)
        patch.setitem(its.ROUTES, "chat_stream", chat_stream)
        _, context = certificate(Path(directory))
        server = ThreadingHTTPServer(("127.0.0.1", 0), its.Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            url = f"https://127.0.0.1:{server.server_port}"
            given = its.ibm.Credentials(url=url, token="t", instance_id="openshift", version="5.2")
            client = its.ibm.APIClient(given, verify=False)
            _ask_watsonx(its.model(client), canary)
            patch.setattr("time.sleep", lambda _: None)  # it tries again
            with ignoring(Exception):
                its.model(client, "refused").chat(messages=_asked(canary))
            client.httpx_client.close()  # the client itself has no way to be closed
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _asked(canary: Canary) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": canary("system")},
        {"role": "user", "content": canary("asked")},
    ]


def _ask_watsonx(model: Any, canary: Canary) -> None:
    model.chat(messages=_asked(canary))
    list(model.chat_stream(messages=_asked(canary)))
    model.generate(prompt=canary("prompt"))
    list(model.generate_text_stream(prompt=canary("prompt")))


def xllamacpp(canary: Canary) -> None:
    """With the small model of the demo, whatever it says."""
    from scripts import local_model

    why = local_model.why_not()
    if why is not None:
        pytest.skip(str(why))
    import xllamacpp as library

    params = library.CommonParams()
    params.model.path = str(local_model.weights())
    params.n_ctx, params.n_parallel, params.embedding = 512, 1, True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.pooling_type = library.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = library.Server(params)
    asked = {"messages": _asked(canary), "max_tokens": 2, "user": canary("user")}
    server.handle_chat_completions({"model": "smollm2", **asked})
    server.handle_chat_completions({"model": "smollm2", **asked, "stream": True}, lambda _: False)
    server.handle_completions({"model": "smollm2", "prompt": canary("prompt"), "max_tokens": 2})
    server.handle_embeddings({"model": "smollm2", "input": canary("input")})
    with ignoring(Exception):
        server.handle_chat_completions({"model": "smollm2", "messages": canary("broken")})
