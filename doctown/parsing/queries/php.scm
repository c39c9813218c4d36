; PHP. Each capture names its handler in doctown/parsing/generic.py.
(namespace_definition) @package
(class_declaration) @class
(trait_declaration) @trait
(interface_declaration) @interface
(enum_declaration) @enum
(function_definition) @function
(method_declaration) @function
(function_call_expression) @call
(member_call_expression) @call
(nullsafe_member_call_expression) @call
(scoped_call_expression) @call
(object_creation_expression) @new
