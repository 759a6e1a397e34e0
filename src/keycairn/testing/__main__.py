"""`python -m keycairn.testing`: a stand-in of OpenAI at 127.0.0.1, to try Keycairn without an account anywhere."""

import asyncio
import sys

from keycairn.testing.openai_server import OpenAIServer

PORT = 9876


async def _stand(port: int) -> None:
    async with OpenAIServer(port=port) as openai:
        print(f"A stand-in of OpenAI at {openai.url}, which takes the key {openai.key}. Ctrl-C ends it.", flush=True)  # noqa: T201  # the purpose of it
        await asyncio.Event().wait()


def main() -> None:
    """Answer as OpenAI does, on the port that is named, until Ctrl-C."""
    try:
        asyncio.run(_stand(int(sys.argv[1]) if len(sys.argv) > 1 else PORT))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
