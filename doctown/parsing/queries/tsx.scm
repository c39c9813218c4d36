; The nodes of TypeScript that leave a record. Each capture names its handler in doctown/parsing/javascript.py.
(program) @module
[(function_declaration) (function_signature) (generator_function_declaration)] @function
[(arrow_function) (function_expression) (generator_function)] @function_value
(method_definition) @method
[(class_declaration) (abstract_class_declaration) (class)] @class
[(public_field_definition)] @field
(class_static_block) @static_block
[(lexical_declaration) (variable_declaration)] @variables
[(assignment_expression) (augmented_assignment_expression)] @assignment
(import_statement) @import
(export_statement) @export
[(call_expression) (new_expression)] @call
(return_statement) @return
(yield_expression) @yield
[(statement_block) (switch_case) (switch_default)] @block
(if_statement consequence: (expression_statement) @block)
(else_clause (expression_statement) @block)
[(for_in_statement) (for_statement)] @loop
(catch_clause) @catch
(if_statement) @if
(comment) @comment
(class_body [(method_signature) (abstract_method_signature)] @method)
(interface_body (method_signature) @method)
(interface_body (property_signature) @field)
(interface_body [(call_signature) (construct_signature)] @signature)
(interface_declaration) @interface
(enum_declaration) @enum
(type_alias_declaration) @type_alias
[(internal_module) (module)] @namespace
(ambient_declaration) @ambient
(import_alias) @import_alias
[(jsx_opening_element) (jsx_self_closing_element)] @element
