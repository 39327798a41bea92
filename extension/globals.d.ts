// What the classic scripts define, for the type checker; not part of the package.
declare var aidetectCard: any;
declare var aidetectCardStyle: any;
declare var aidetectCardText: any;
declare var aidetectPage: any;
declare var aidetectPlace: any;
