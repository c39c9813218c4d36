; Swift. Each capture names its handler in doctown/parsing/generic.py.
(class_declaration) @swift_type
(protocol_declaration) @interface
(function_declaration) @function
(protocol_function_declaration) @function
(init_declaration) @function
(typealias_declaration) @type
(call_expression) @call
