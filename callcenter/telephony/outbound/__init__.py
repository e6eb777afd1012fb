"""Consultants' outbound calls: number policy, authorization, requests."""
