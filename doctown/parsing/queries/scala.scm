; Scala. Each capture names its handler in doctown/parsing/generic.py.
(package_clause) @package
(class_definition) @class
(object_definition) @scala_object
(trait_definition) @trait
(enum_definition) @enum
(function_definition) @function
(function_declaration) @function
(type_definition) @type
(call_expression) @call
(instance_expression) @new
