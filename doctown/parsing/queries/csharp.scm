; The nodes of C# that leave a record. Each capture names its handler in doctown/parsing/csharp.py.
(using_directive) @using
[(namespace_declaration) (file_scoped_namespace_declaration)] @namespace
[(class_declaration) (struct_declaration) (interface_declaration) (record_declaration) (enum_declaration)] @type
(delegate_declaration) @delegate
[(method_declaration) (constructor_declaration) (destructor_declaration) (operator_declaration) (conversion_operator_declaration)] @method
(local_function_statement) @local_function
[(property_declaration) (indexer_declaration) (event_declaration)] @property
[(field_declaration) (event_field_declaration)] @field
(enum_member_declaration) @enum_member
[(local_declaration_statement) (using_statement) (for_statement) (fixed_statement)] @local
(foreach_statement) @for_each
(catch_clause) @catch
[(block) (switch_section) (switch_expression_arm)] @block
[(declaration_pattern) (recursive_pattern) (declaration_expression)] @pattern
[(lambda_expression) (anonymous_method_expression)] @lambda
(return_statement) @return
(conditional_access_expression) @conditional
(invocation_expression) @call
[(object_creation_expression) (implicit_object_creation_expression)] @new
(constructor_initializer) @constructor_call
(primary_constructor_base_type) @base_call
