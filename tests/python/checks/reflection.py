"""What a client learns from a server without having the protos: gRPC server reflection, v1 and v1alpha."""

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2

from checks.report import Failed

VERSIONS = ("v1", "v1alpha")


class Reflection:
    """A reflection client of one version; the messages of both are the same on the wire."""

    def __init__(self, channel, version):
        self.channel = channel
        self.call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )

    def ask(self, **question):
        """One question, one answer."""
        answer = next(self.call(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=10))
        if answer.HasField("error_response"):
            raise Failed(f"reflection: {answer.error_response.error_message}")
        return answer

    def services(self):
        """The names of the services."""
        return [service.name for service in self.ask(list_services="").list_services_response.service]

    def describe(self, symbol):
        """A descriptor pool with everything that `symbol` needs."""
        files = {}
        self.collect(self.ask(file_containing_symbol=symbol), files)
        pool = descriptor_pool.DescriptorPool()
        added = set()

        def add(name):
            if name in added:
                return
            added.add(name)
            for dependency in files[name].dependency:
                add(dependency)
            pool.Add(files[name])

        for name in list(files):
            add(name)
        return pool

    def collect(self, answer, files):
        """The files of an answer, and all that they import."""
        for encoded in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(encoded)
            files[file.name] = file
        missing = {name for file in files.values() for name in file.dependency} - set(files)
        for name in sorted(missing):
            if name not in files:
                self.collect(self.ask(file_by_filename=name), files)

    def unary(self, service, method, **fields):
        """Calls a method that is known from reflection alone; the answer as a message."""
        described = self.describe(service).FindServiceByName(service).methods_by_name[method]
        request = message_factory.GetMessageClass(described.input_type)(**fields)
        answer = message_factory.GetMessageClass(described.output_type)
        call = self.channel.unary_unary(
            f"/{service}/{method}", request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return call(request, timeout=10)


def serves(channel, method, payload):
    """Sends raw bytes to a method; the gRPC error it gives, or None."""
    call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    try:
        call(payload, timeout=10)
    except grpc.RpcError as error:
        return error
    return None
