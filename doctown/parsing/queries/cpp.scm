; C++. Each capture names its handler in doctown/parsing/generic.py. Types count where they are defined, not where they are named.
(namespace_definition) @namespace
(function_definition) @function
(class_specifier name: (_) body: (_)) @class
(struct_specifier name: (_) body: (_)) @struct
(union_specifier name: (_) body: (_)) @struct
(enum_specifier name: (_) body: (_)) @enum
(concept_definition) @type
(alias_declaration) @type
(type_definition) @type
(preproc_function_def) @macro
(call_expression) @call
(new_expression) @new
