; C. Each capture names its handler in doctown/parsing/generic.py. Types count where they are defined, not where they are named.
(function_definition) @function
(struct_specifier name: (_) body: (_)) @struct
(union_specifier name: (_) body: (_)) @struct
(enum_specifier name: (_) body: (_)) @enum
(type_definition) @type
(preproc_function_def) @macro
(call_expression) @call
