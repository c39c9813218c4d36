; The nodes of Java that leave a record. Each capture names its handler in doctown/parsing/java.py.
(package_declaration) @package
(import_declaration) @import
[(class_declaration) (interface_declaration) (enum_declaration) (record_declaration) (annotation_type_declaration)] @type
(enum_constant) @enum_constant
(object_creation_expression (class_body) @anonymous)
[(method_declaration) (constructor_declaration) (compact_constructor_declaration) (annotation_type_element_declaration)] @method
[(field_declaration) (constant_declaration)] @field
[(block) (constructor_body) (for_statement) (switch_block_statement_group) (switch_rule)] @block
(enhanced_for_statement) @for_each
(catch_clause) @catch
(try_with_resources_statement) @try
(local_variable_declaration) @local
[(instanceof_expression) (type_pattern) (record_pattern_component)] @pattern
(lambda_expression) @lambda
(return_statement) @return
(method_invocation) @call
(object_creation_expression) @new
(explicit_constructor_invocation) @constructor_call
