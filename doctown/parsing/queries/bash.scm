; Bash. Each capture names its handler in doctown/parsing/generic.py.
(function_definition) @function
(command) @command
