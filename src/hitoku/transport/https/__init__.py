# SPDX-License-Identifier: Apache-2.0
"""Members' nodes over HTTPS: TLS 1.3, both sides proven by the keys that the room gives its members.

`certificate` and `tls` say who is on the other side, `client` carries messages to other nodes, `app` and
`listener` take them in. What a message means is the same as in one process: `hitoku.transport.in_process`.
"""
