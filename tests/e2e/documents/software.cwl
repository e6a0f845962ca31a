cwlVersion: v1.2
class: CommandLineTool
requirements: {SoftwareRequirement: {packages: {greeter: {version: ["2.0"]}}}}
baseCommand: greet
inputs: {}
outputs: {said: stdout}
stdout: said.txt
