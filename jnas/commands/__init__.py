"""The command line: what each command says, asks for and does."""
