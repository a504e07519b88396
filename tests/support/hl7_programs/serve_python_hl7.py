"""python-hl7's server: answers AA and prints each message as JSON, as its own parser has it."""

import asyncio
import json
import sys

import hl7.mllp


async def converse(reader: hl7.mllp.HL7StreamReader, writer: hl7.mllp.HL7StreamWriter) -> None:
    while not writer.is_closing():
        try:
            message = await reader.readmessage()
        except asyncio.IncompleteReadError:
            break
        print(json.dumps([str(segment) for segment in message]), flush=True)
        writer.writemessage(message.create_ack())
        await writer.drain()


async def main() -> None:
    server = await hl7.mllp.start_hl7_server(converse, host="127.0.0.1", port=int(sys.argv[1]), encoding="utf-8")
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main())
