"""Budgets as the kernel keeps them: who stands below one, who stops for want of one, and what people see and change."""
