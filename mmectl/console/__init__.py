"""What a terminal shows: output, the menu, tables, pages."""
