# SPDX-License-Identifier: Apache-2.0
"""Everything of Flower that we use, in one list: a new version is judged by this page.

Import it inside functions only, after `environment.require_flower`. Warnings while it loads are of other
packages' making (a deprecation in one of Flower's dependencies).
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import httpx
    from flwr.app import ConfigRecord, Error, Message, Metadata, RecordDict
    from flwr.app.message import make_message, remove_content_from_message
    from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
    from flwr.common.serde import message_from_proto, message_to_proto
    from flwr.proto.control_pb2 import StartRunRequest, StopRunRequest
    from flwr.proto.fab_pb2 import Fab
    from flwr.proto.fleet_pb2 import (
        ActivateNodeRequest,
        DeactivateNodeRequest,
        PullMessagesRequest,
        PushMessagesRequest,
        RegisterNodeFleetRequest,
    )
    from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
    from flwr.proto.message_pb2 import (
        ConfirmMessageReceivedRequest,
        PullObjectRequest,
        PushObjectRequest,
    )
    from flwr.proto.node_pb2 import Node
    from flwr.proto.runtime_pb2 import (
        AcquireTaskRequest,
        GetNodesRequest,
        PullAppMessagesRequest,
        PullTaskInputRequest,
        PushAppMessagesRequest,
        PushTaskOutputRequest,
        SendTaskHeartbeatRequest,
    )
    from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, TaskType
    from flwr.supercore.control.control_http_client import ControlHttpClient
    from flwr.supercore.inflatable.inflatable_object import (
        get_all_nested_objects,
        get_object_tree,
        iterate_object_tree,
        no_object_id_recompute,
    )
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
    from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, RuntimeVersionHttpInterceptor
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes
    from flwr.supercore.runtime import RuntimeHttpClient
    from flwr.supernode.fleet_http_client import FleetHttpClient
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

__all__ = [
    "FLEET_HTTP_PUBLIC_KEY_HEADER",
    "SUPERLINK_NODE_ID",
    "AcquireTaskRequest",
    "ActivateNodeRequest",
    "ConfigRecord",
    "ConfirmMessageReceivedRequest",
    "ControlHttpClient",
    "DeactivateNodeRequest",
    "Error",
    "ErrorCode",
    "Fab",
    "FleetHttpClient",
    "GetNodesRequest",
    "Message",
    "Metadata",
    "Node",
    "NodeAuthHttpInterceptor",
    "PullAppMessagesRequest",
    "PullMessagesRequest",
    "PullObjectRequest",
    "PullTaskInputRequest",
    "PushAppMessagesRequest",
    "PushMessagesRequest",
    "PushObjectRequest",
    "PushTaskOutputRequest",
    "RecordDict",
    "RegisterNodeFleetRequest",
    "RuntimeHttpClient",
    "RuntimeTokenHttpInterceptor",
    "RuntimeVersionHttpInterceptor",
    "SendNodeHeartbeatRequest",
    "SendTaskHeartbeatRequest",
    "StartRunRequest",
    "StopRunRequest",
    "TaskType",
    "get_all_nested_objects",
    "get_object_tree",
    "httpx",
    "inflate_object_from_contents",
    "iterate_object_tree",
    "make_message",
    "message_from_proto",
    "message_to_proto",
    "no_object_id_recompute",
    "public_key_to_bytes",
    "remove_content_from_message",
]
