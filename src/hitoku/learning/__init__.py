# SPDX-License-Identifier: Apache-2.0
"""Models that companies learn together from updates that nobody can read.

Members keep their rows. What leaves a member is a vector of integers under masks (or under encryption) whose
sum over one agreed set of members is the only thing that opens. `base` has the words that the parts share,
`aggregate` the protocols that open sums, `boosting`, `linear`, `perceptron` and `counters` what is summed,
`server` and `bank` the two sides of a run, `flower` the deployed transport.
"""
