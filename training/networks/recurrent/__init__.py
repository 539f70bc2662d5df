"""Language models of recurrent cells."""
