"""Reading and understanding data files: the engine, the files, what each column is for."""
