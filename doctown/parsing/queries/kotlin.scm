; Kotlin. Each capture names its handler in doctown/parsing/generic.py.
(package_header) @package
(class_declaration) @kotlin_type
(object_declaration) @class
(companion_object) @singleton
(function_declaration) @function
(type_alias) @type
(call_expression) @call
