"""``python -m agent.playout.tests.pyrtmp_server PORT DIRECTORY``: PyRTMP, a server that shares no line with the others,
writing each publish to an FLV of its own. A process of its own, for PyRTMP sets up logging when it is imported.
"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

from pyrtmp.flv import FLVFileWriter, FLVMediaType
from pyrtmp.rtmp import RTMPProtocol, SimpleRTMPController


class Recorder(SimpleRTMPController):
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def on_ns_publish(self, session: Any, message: Any) -> None:
        session.state = FLVFileWriter(output=str(self._directory / f"{message.publishing_name}.flv"))
        await super().on_ns_publish(session, message)

    async def on_metadata(self, session: Any, message: Any) -> None:
        session.state.write(0, message.to_raw_meta(), FLVMediaType.OBJECT)

    async def on_video_message(self, session: Any, message: Any) -> None:
        session.state.write(message.timestamp, message.payload, FLVMediaType.VIDEO)

    async def on_audio_message(self, session: Any, message: Any) -> None:
        session.state.write(message.timestamp, message.payload, FLVMediaType.AUDIO)

    async def on_stream_closed(self, session: Any, exception: Any) -> None:
        if isinstance(session.state, FLVFileWriter):
            session.state.close()


async def main(port: int, directory: Path) -> None:
    logging.disable(logging.INFO)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: RTMPProtocol(controller=Recorder(directory)), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
