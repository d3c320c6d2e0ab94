"""Each module has ``async def run(work)``: every subtask through ``work.do``, and the results of all by id."""
