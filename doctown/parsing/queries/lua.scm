; Lua. Each capture names its handler in doctown/parsing/generic.py.
(function_declaration) @function
(assignment_statement) @lua_assigned
(function_call) @call
