# SPDX-License-Identifier: Apache-2.0
"""The console: web pages and a JSON API for the people of one member, served by its node.

Layers inside: `pages` (HTML) and `api` (JSON) call `work` (what is done, without HTTP), which calls the node.
"""
