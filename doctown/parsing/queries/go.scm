; The nodes of Go that leave a record. Each capture names its handler in doctown/parsing/go.py.
(package_clause) @package
(import_spec) @import
(function_declaration) @function
(method_declaration) @method
(func_literal) @function_literal
(type_spec) @type
(type_alias) @alias
(const_spec) @constant
(var_spec) @variable
(short_var_declaration) @short_variable
(assignment_statement) @assignment
[(block) (for_statement) (expression_case) (default_case)] @block
(if_statement initializer: (_)) @block
(expression_switch_statement initializer: (_)) @block
(range_clause) @range
(type_switch_statement) @type_switch
(type_case) @case
(communication_case) @communication
(call_expression) @call
(type_conversion_expression) @conversion
