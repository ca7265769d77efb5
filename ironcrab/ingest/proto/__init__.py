"""The Geyser wire format: `geyser.proto` is ours, `geyser_pb2` is generated from it and committed.

After a change of `geyser.proto`, from the repository's root (extra `proto`):

    python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. ironcrab/ingest/proto/geyser.proto

Only message code is generated: importing it does not import grpc. A client calls `/geyser.Geyser/Subscribe`.
"""
