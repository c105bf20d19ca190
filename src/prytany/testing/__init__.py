"""Fakes, faults and conformance suites, shipped so that authors of drivers and programs use them. Never imported by the
product.
"""
