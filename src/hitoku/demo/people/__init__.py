# SPDX-License-Identifier: Apache-2.0
"""People nobody is: an airline's travellers and a mobile operator's subscribers, made by a seed."""
