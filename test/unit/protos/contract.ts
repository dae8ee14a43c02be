import { isFieldSet } from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  FieldOptionsSchema,
} from '@bufbuild/protobuf/wkt';
import type {
  DescriptorProto,
  EnumDescriptorProto,
  FieldDescriptorProto,
  FileDescriptorSet,
} from '@bufbuild/protobuf/wkt';

/**
 * Everything that a set of descriptors fixes about the wire, one entry each: `message M` → its syntax, `field M 3` →
 * label, type, name, `enum E`, `value E.NAME` → its number, `service S`, `rpc S/Method` → its input and output.
 */
export type Contract = ReadonlyMap<string, string>;

export interface Comparison {
  /** Declarations of ours that upstream does not have or has differently. */
  readonly wrong: readonly string[];
  /** Declarations of upstream that we do not have. */
  readonly lacking: readonly string[];
}

export function contractOf(set: FileDescriptorSet): Contract {
  const facts = new Map<string, string>();
  for (const file of set.file.filter(({ name }) => !name.startsWith('google/protobuf/'))) {
    const syntax = file.syntax || 'proto2';
    for (const message of file.messageType) addMessage(facts, file.package, message, syntax);
    for (const type of file.enumType) addEnum(facts, file.package, type);
    for (const service of file.service) {
      const name = `${file.package}.${service.name}`;
      facts.set(`service ${name}`, 'service');
      for (const { name: method, inputType, outputType, clientStreaming, serverStreaming } of service.method) {
        const input = `${clientStreaming ? 'stream ' : ''}${inputType}`;
        facts.set(`rpc ${name}/${method}`, `${input} returns ${serverStreaming ? 'stream ' : ''}${outputType}`);
      }
    }
  }
  return facts;
}

export function compareContracts(ours: Contract, upstream: Contract): Comparison {
  const wrong = [...ours].flatMap(([key, fact]) => {
    const other = upstream.get(key);
    return other === fact ? [] : [`${key}: ${fact} here, ${other ?? 'nothing'} upstream`];
  });
  const lacking = [...upstream].flatMap(([key, fact]) => (ours.has(key) ? [] : [`${key}: ${fact}`]));
  return { wrong, lacking };
}

function addMessage(facts: Map<string, string>, scope: string, message: DescriptorProto, syntax: string): void {
  const name = `${scope}.${message.name}`;
  facts.set(`message ${name}`, message.options?.mapEntry ? `${syntax} map entry` : syntax);
  for (const field of message.field) facts.set(`field ${name} ${field.number}`, fieldFact(field, message));
  for (const nested of message.nestedType) addMessage(facts, name, nested, syntax);
  for (const type of message.enumType) addEnum(facts, name, type);
}

function addEnum(facts: Map<string, string>, scope: string, type: EnumDescriptorProto): void {
  const name = `${scope}.${type.name}`;
  facts.set(`enum ${name}`, type.options?.allowAlias ? 'with aliases' : 'enum');
  for (const value of type.value) facts.set(`value ${name}.${value.name}`, String(value.number));
}

function fieldFact(field: FieldDescriptorProto, message: DescriptorProto): string {
  // proto2 has defaults for these fields, which say nothing about the described field.
  const { oneofIndex } = FieldDescriptorProtoSchema.field;
  const oneof = isFieldSet(field, oneofIndex) ? message.oneofDecl[field.oneofIndex]?.name : undefined;
  const packed = field.options && isFieldSet(field.options, FieldOptionsSchema.field.packed);
  return [
    FieldDescriptorProto_Label[field.label]?.toLowerCase(),
    field.typeName || FieldDescriptorProto_Type[field.type]?.toLowerCase(),
    field.name,
    ...(field.proto3Optional ? ['with presence'] : oneof ? [`in oneof ${oneof}`] : []),
    ...(packed ? [`packed=${field.options?.packed}`] : []),
  ].join(' ');
}
