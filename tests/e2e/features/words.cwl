# Every form of inputBinding: one word a line.
cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
  SchemaDefRequirement: {types: [{$import: person.yml}]}
baseCommand: [printf, '[%s]\n']
arguments: [{position: 0, valueFrom: first}, {position: 9, prefix: -l, valueFrom: $(inputs.int + 1)}, "$(inputs.matrix[0][1])"]
inputs:
  none: {type: 'null', inputBinding: {position: 1, prefix: --none}}
  yes: {type: boolean, inputBinding: {position: 1, prefix: --yes}}
  no: {type: boolean, inputBinding: {position: 1, prefix: --no}}
  int: {type: int, inputBinding: {position: 2, prefix: -i, separate: false}}
  long: {type: long, inputBinding: {position: 2}}
  float: {type: float, inputBinding: {position: 2}}
  double: {type: double, inputBinding: {position: 2}}
  small: {type: double, inputBinding: {position: 2}}
  large: {type: double, inputBinding: {position: 2}}
  string: {type: string, inputBinding: {position: 3}}
  optional: {type: 'string?', inputBinding: {position: 3, prefix: --optional}}
  union: {type: [int, string], inputBinding: {position: 3, prefix: --union}}
  any: {type: Any, inputBinding: {position: 3}}
  any_record: Any
  enum: {type: {type: enum, symbols: [red, green]}, inputBinding: {position: 4, prefix: --color}}
  people: {type: 'person.yml#person[]', inputBinding: {position: 5, prefix: --people}}
  matrix:
    type: {type: array, items: {type: array, items: int, inputBinding: {prefix: --row, itemSeparator: ','}}}
    inputBinding: {position: 6}
  record:
    type: {type: record, fields: {a: {type: int, inputBinding: {position: 2, prefix: -a}}, b: {type: ['null', File]}}}
    inputBinding: {position: "$(3 + 4)"}
outputs: {o: stdout}
stdout: words.txt
