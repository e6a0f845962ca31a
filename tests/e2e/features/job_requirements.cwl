# Requirements that the input object adds to what the document says.
cwlVersion: v1.2
class: CommandLineTool
requirements: {EnvVarRequirement: {envDef: {A_WORD: of the document}}, InlineJavascriptRequirement: {}}
baseCommand: [sh, -c, 'echo "$A_WORD" "$ANOTHER"']
inputs: []
outputs: {o: stdout}
stdout: o.txt
