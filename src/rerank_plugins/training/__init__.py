"""Training: data, settings, trainers, and what is measured before and after.

What reads, checks and converts data needs no torch.
"""
