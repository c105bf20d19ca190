"""The fleet file: what a folder of agents is, as its author writes it down."""
